"""Redis: keys, scripts and the calls that run them.  Knows no HTTP."""
