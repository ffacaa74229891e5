"""The six types of task, one file each."""
