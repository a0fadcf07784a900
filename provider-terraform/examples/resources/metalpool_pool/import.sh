# By its name, as 'metalpool pool list' shows it.
terraform import metalpool_pool.ci ci
