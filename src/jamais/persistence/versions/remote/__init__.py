"""How do versions lie in an object store (S3 and its like), reached through fsspec?"""

from jamais.persistence.versions.remote.object_store import Remote

__all__ = ["Remote"]
