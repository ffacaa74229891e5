"""The heart: values, verdicts, the state machine, errors, time. Pure; everything may import it."""
