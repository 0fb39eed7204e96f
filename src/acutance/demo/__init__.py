"""The demonstration: a scene that the program draws, sent through a call and sharpened."""
