"""`python -m muat_exp`."""

from muat_exp.app import signals

if __name__ == "__main__":
    signals.listen()  # before anything else is imported, for that takes a while
    from muat_exp.app.process import run_process

    run_process()
