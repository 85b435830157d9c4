"""Make a dictionary of a spreadsheet export: the two files, and what is new in them."""
