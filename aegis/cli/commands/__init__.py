"""The commands of `aegis`, one file for each or for a family of them. They share options, not each other's inside."""
