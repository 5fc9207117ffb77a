"""The dashboard: one page on a record, served live by `server` or written as one file by `offline`.

It reads records and knows the language; it imports nothing that trains, and writes nothing but the offline file.
"""
