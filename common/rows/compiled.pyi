from common.rows.plain import csv_rows as csv_rows
from common.rows.plain import even_rows as even_rows
from common.rows.plain import json_rows as json_rows
from common.rows.plain import pile_up as pile_up
from common.rows.plain import size_of as size_of
from common.rows.plain import sums as sums
from common.rows.plain import take_fields as take_fields
from common.rows.plain import take_json_fields as take_json_fields
