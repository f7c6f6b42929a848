"""The dependency taxonomy induced from the effects: edges, levels, roles."""
