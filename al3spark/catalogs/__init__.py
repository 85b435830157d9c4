"""What is in the tables, told to others: their columns, SQL, views, AWS Glue, a page for people."""
