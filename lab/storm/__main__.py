from lab.storm.run import main

main()
