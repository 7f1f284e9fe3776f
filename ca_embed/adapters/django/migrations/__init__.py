"""The migrations of the table that `DjangoStorage` keeps records in."""
