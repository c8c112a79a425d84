"""A small real CRM over HTTP on PostgreSQL: users, customers, contacts. All its content is made up.

It knows nothing of the rest of this product, as any vendor's CRM would not, so it can bear witness to what was loaded.
Start it with ``python -m rollout.testbed``.
"""
