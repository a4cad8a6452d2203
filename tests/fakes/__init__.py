"""Stand-ins for the parts a test holds still: time, the living cloud; never for an engine that runs here."""
