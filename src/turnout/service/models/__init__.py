"""Models of the workspace: files under a name, its versions counting up."""
