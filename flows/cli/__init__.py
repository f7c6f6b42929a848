"""The command line `beyond-iid`. Modules here import heavy packages inside their commands, so that help is instant."""
