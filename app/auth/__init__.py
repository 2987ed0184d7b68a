"""Who may call: keys and the gate in front of every route."""
