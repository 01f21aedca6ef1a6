"""Other people's voices: one file per published API, none importing another."""
