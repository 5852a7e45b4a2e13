"""`python -m drift_middleware` is the command line."""

from drift_middleware.cli import main

if __name__ == "__main__":
    main(prog_name="drift-middleware")
