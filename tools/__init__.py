"""Things a person runs; the library never imports them."""
