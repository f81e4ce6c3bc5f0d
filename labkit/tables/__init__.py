"""Tables in and out of files, and their columns as plain text or numbers.

`read_catalogue` is the one reader of tables, whoever wrote them, and `write_table` the one writer.
"""

from labkit.tables.columns import find_column, magnitudes, need_columns, numbers, rows_of, text
from labkit.tables.reading import read_catalogue
from labkit.tables.writing import CATALOGUE_ENDINGS, TableWriter, write_table
