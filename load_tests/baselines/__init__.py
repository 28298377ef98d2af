"""What the service is measured against: hello world, the obvious service, CatBoost and the store by themselves."""
