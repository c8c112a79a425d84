"""The project file, the workspace and the database they need."""
