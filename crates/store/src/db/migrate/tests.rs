//! Migrations on a SQLite file.
