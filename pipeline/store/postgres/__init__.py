"""The PostgreSQL database: one for any number of hosts, behind the same port."""
