"""`python -m procsched` is the command line."""

from procsched.cli.main import main

if __name__ == "__main__":
    main()
