"""python -m unitlens: the command line, where a launcher wants a module."""

from unitlens.cli import app

if __name__ == "__main__":
    app(prog_name="unitlens")
