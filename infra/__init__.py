"""Where the work runs: settings, embedded Postgres, Ray, the Prefect server, DeepSpeed configurations."""
