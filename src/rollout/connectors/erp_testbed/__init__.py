"""An ERP whose orders are read: the testbed's."""
