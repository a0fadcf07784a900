# By the allocation's ID, by OWNER/NAME, or by the name of one of the provider's owner's
# own machines, as 'metalpool machine list' shows them.
terraform import metalpool_machine.web team-a/prod/web-1
