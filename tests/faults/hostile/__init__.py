"""A platform that gives hostile answers over real HTTP, and the proof that each can be cured and costs nothing twice."""
