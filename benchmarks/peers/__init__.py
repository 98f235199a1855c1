"""The same work with other libraries, each written as a competent user of it would.

Peers do less than Nacre. They treat a row as a line, have no schema, and take the text before the first comma as the
category. They reject nothing, and their files have no checksum and no ledger. They know the number of rows beforehand
and stop after that many. Each one says what a kill does to it.
"""
