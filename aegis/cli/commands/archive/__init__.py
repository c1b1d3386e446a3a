"""`aegis archive`: older decisions out of the database, into Parquet files.

command  what it says and does
"""
