"""When did it happen? Shapes of time stamps, fast columns for a fixed shape, and one clock for zone and year."""
