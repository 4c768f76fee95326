"""Widgets: live views. Each is opened by a verb, shows what a result holds, and answers through Python."""
