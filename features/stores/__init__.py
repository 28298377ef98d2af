"""Online stores: where the current feature rows are read from, all behind `base.OnlineStore`."""
