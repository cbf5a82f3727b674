"""What commands ask of tables of traces: a module each, so that none loads another's analyses."""
