examples_C := logger firewall
