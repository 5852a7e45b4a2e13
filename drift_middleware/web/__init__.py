"""What `/_drift` answers, to programs; the middleware hands it the requests of its own route."""

from drift_middleware.web.routes import Routes

__all__ = ["Routes"]
