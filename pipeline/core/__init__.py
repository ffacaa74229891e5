"""The core: values, verdicts, the state machine, errors, time. Everything may import it."""
