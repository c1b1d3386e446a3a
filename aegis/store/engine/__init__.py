"""The engines below a workspace's database: SQLite in a file, PostgreSQL on a server. One SQL text serves both.

address    where a database is: the file of a workspace may hold a PostgreSQL URL in place of SQLite's pages
connection what both connections do alike: the protocols
gate       no fork of this process while a thread is inside SQLite
heir       a forked child takes the locks that its parent's connections have
outside    bytes of files read by another process: to close a database's file would drop this process's locks
sqlite     SQLite: opening, transactions, what its errors mean
postgres   PostgreSQL: the same by psycopg, an extra
"""

from __future__ import annotations
