# By its name, as 'metalpool node list' shows it.
terraform import 'metalpool_node.r1["r1-n07"]' r1-n07
# Where bmc_password_wo has a version, the next plan has it put into the pool anew.
