"""Lightning modules, callbacks and engines that train cohorts of subjects."""
