"""HTTP of the local platform: gate, faults, bodies, filters, pagination, responses."""
