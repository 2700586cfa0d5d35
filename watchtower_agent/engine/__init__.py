"""The engine: the only room that imports the docker SDK."""
