# By the allocation's ID, by OWNER/NAME, or by the name of one of the provider's owner's
# own machines, as 'metalpool machine list' shows them.
terraform import metalpool_allocation.db team-a/prod/db-1
