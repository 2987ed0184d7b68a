"""The tenants and jobs of the tests of events serve here as well."""

from tests.app.events.conftest import make_tenant, sessions, tenant

__all__ = ["make_tenant", "sessions", "tenant"]
