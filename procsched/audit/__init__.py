"""From a record said by a job to the agents that keep it."""
