"""What a script needs around it: from a list of packages to a recipe that a target carries out."""
