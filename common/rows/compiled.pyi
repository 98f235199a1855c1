from common.rows.plain import csv_rows as csv_rows
from common.rows.plain import group_rows as group_rows
from common.rows.plain import json_rows as json_rows
from common.rows.plain import size_of as size_of
from common.rows.plain import split_uniform_lines as split_uniform_lines
from common.rows.plain import sums as sums
from common.rows.plain import take_fields as take_fields
from common.rows.plain import take_json_fields as take_json_fields
