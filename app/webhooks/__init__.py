"""Webhooks: tell a user's own server that a job has ended.

`destination` and `public_address` decide where a request may go, `egress` sends it there and nowhere else, `signing`
proves that it comes from us, `service` keeps what users have registered and `delivery` sends what is due.
"""
