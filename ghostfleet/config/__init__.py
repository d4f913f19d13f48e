"""What the operator wrote, turned into values the service can trust.

`settings` is the shape of the file; `loading` goes from a path and an environment to `loaded.Loaded`, or to every
problem at once. No other layer reads the settings file or the environment.
"""
